// What our functions are measured beside.
export const handler = async () => ({ statusCode: 200, body: "hello, world" });
