// Verifies a message with the public JavaScript package standardwebhooks. Standard input: {"secret", "headers", "body"}.
// Exits with 0 if it is accepted; prints why not and exits with 1 if it is refused.

import { readFileSync } from "node:fs";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const message = JSON.parse(readFileSync(0, "utf8"));
try {
  new Webhook(message.secret).verify(message.body, message.headers);
} catch (error) {
  if (!(error instanceof WebhookVerificationError)) throw error;
  console.log(error.message);
  process.exit(1);
}
