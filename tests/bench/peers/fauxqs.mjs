// The stand-in for SQS under load: fauxqs without a log, on loopback only (its own start listens on every interface).

import { buildApp } from "fauxqs";

const { FAUXQS_PORT, FAUXQS_DEFAULT_REGION } = process.env;
const app = buildApp({ logger: false, defaultRegion: FAUXQS_DEFAULT_REGION });
await app.listen({ port: Number(FAUXQS_PORT), host: "127.0.0.1" });
