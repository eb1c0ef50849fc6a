#!/usr/bin/env python3
"""A bank behind RabbitMQ: takes orders from the queue bank.orders and answers to bank.answers.

    bank.py URL LOG

Every order is a line of JSON in the file LOG; one with a message id that was there before is not carried out again, and
answered alike.  Carl has closed his account.
"""
import json
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(sys.argv[1]))
channel = connection.channel()
channel.confirm_delivery()
for queue in ("bank.orders", "bank.answers"):
    channel.queue_declare(queue, durable=True)
log = open(sys.argv[2], "a", buffering=1, encoding="utf-8")
known = set()
print("ready", flush=True)
for method, properties, body in channel.consume("bank.orders"):
    order = json.loads(body)
    refused = "the account is closed" if order["employee"] == "carl" else None
    log.write(json.dumps(dict(order, refused=refused, repeated=properties.message_id in known)) + "\n")
    known.add(properties.message_id)
    channel.basic_publish("", "bank.answers", json.dumps({"payment": order["payment"], "refused": refused}),
                          pika.BasicProperties(message_id="answer to " + properties.message_id, delivery_mode=2))
    channel.basic_ack(method.delivery_tag)
