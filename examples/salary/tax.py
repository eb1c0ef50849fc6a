#!/usr/bin/env python3
"""The pull worker that computes the tax: ../workers/worker.py with work of its own.

THINK (seconds, 0) is how long it takes for one.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "workers"))
import worker


def tax(action, action_input, key):
    time.sleep(float(os.environ.get("THINK", "0")))
    gross = action_input["gross"]
    amount = round(gross * 0.2, 2)
    return {"tax": amount, "net": round(gross - amount, 2)}


worker.main(tax)
