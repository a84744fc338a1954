// As handlers.py: hrtime is the same clock.

export async function stamp() {
  const began = process.hrtime.bigint();
  return { statusCode: 200, body: `{"began": ${began}, "done": ${process.hrtime.bigint()}}` };
}
