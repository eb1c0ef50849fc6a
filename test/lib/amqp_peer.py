"""The other side of RabbitMQ in the tests.

    amqp_peer.py URL declare QUEUE
    amqp_peer.py URL drain QUEUE        prints a line of JSON for each message that waits: id, headers, type, body
"""
import json
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(sys.argv[1]))
channel = connection.channel()
if sys.argv[2] == "declare":
    channel.queue_declare(sys.argv[3], durable=True)
else:
    for method, properties, body in channel.consume(sys.argv[3], inactivity_timeout=2):
        if method is None:
            break
        print(json.dumps({"id": properties.message_id, "headers": properties.headers, "type": properties.content_type,
                          "correlation": properties.correlation_id, "mode": properties.delivery_mode, "body": body.decode()}))
        channel.basic_ack(method.delivery_tag)
connection.close()
