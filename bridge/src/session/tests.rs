//! Sessions against a broker, queues and a register in memory.
