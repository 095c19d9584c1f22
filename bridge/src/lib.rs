//! RabbitMQ to SQS.
