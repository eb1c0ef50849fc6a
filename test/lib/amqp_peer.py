"""The other side of RabbitMQ in the tests.

    amqp_peer.py URL declare QUEUE
    amqp_peer.py URL send QUEUE N       {"i": 0} to {"i": N - 1}, with message ids
    amqp_peer.py URL send_oslo QUEUE N  the same as oslo.messaging wraps notifications
    amqp_peer.py URL reply QUEUE ID TEXT  with that correlation id
    amqp_peer.py URL drain QUEUE        prints a line of JSON for each message that waits: id, headers, type, body
"""
import json
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(sys.argv[1]))
channel = connection.channel()
if sys.argv[2] != "drain":
    # What is published is on the broker's disk when this program ends: the broker is killed afterwards.
    channel.confirm_delivery()
if sys.argv[2] == "declare":
    channel.queue_declare(sys.argv[3], durable=True)
elif sys.argv[2] == "send":
    for i in range(int(sys.argv[4])):
        channel.basic_publish("", sys.argv[3], json.dumps({"i": i}), pika.BasicProperties(message_id="m%d" % i, delivery_mode=2))
elif sys.argv[2] == "send_oslo":
    for i in range(int(sys.argv[4])):
        notice = {"event_type": "compute.instance.create.end", "message_id": "n%d" % i, "publisher_id": "compute.host",
                  "priority": "INFO", "payload": {"i": i}}
        channel.basic_publish("", sys.argv[3], json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(notice)}),
                              pika.BasicProperties(delivery_mode=2))
elif sys.argv[2] == "reply":
    channel.basic_publish("", sys.argv[3], sys.argv[5], pika.BasicProperties(correlation_id=sys.argv[4], delivery_mode=2))
else:
    for method, properties, body in channel.consume(sys.argv[3], inactivity_timeout=2):
        if method is None:
            break
        print(json.dumps({"id": properties.message_id, "headers": properties.headers, "type": properties.content_type,
                          "correlation": properties.correlation_id, "mode": properties.delivery_mode, "body": body.decode()}))
        channel.basic_ack(method.delivery_tag)
connection.close()
