//! Signed webhooks: CloudEvents body, Standard Webhooks signature, delivery.
