"""Verifies a message with the public Python package standardwebhooks. Standard input: {"secret", "headers", "body"}.

Exits with 0 if it is accepted; prints why not and exits with 1 if it is refused."""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

message = json.load(sys.stdin)
try:
    event = Webhook(message["secret"]).verify(message["body"], message["headers"])
except WebhookVerificationError as error:
    print(error)
    sys.exit(1)
assert event == json.loads(message["body"])
