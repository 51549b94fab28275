import type uWS from 'uWebSockets.js';

/**
 * Ends a response whose status and headers are written. What the socket has no room for waits here, so that the response is still under way:
 * the socket layer closes a connection that asks for more meanwhile, where it would keep one answer after the other for a client that sends
 * requests and never reads. Only with onAborted set.
 */
export function endResponse(res: uWS.HttpResponse, body: string): void {
  const bytes = Buffer.from(body);
  const [, done] = res.tryEnd(bytes, bytes.length);
  if (done) return;
  res.onWritable((offset) => res.tryEnd(bytes.subarray(offset), bytes.length)[0]);
}

/**
 * Whether others may see the end of a request elsewhere. The socket layer takes the first of several lengths, and any transfer encoding for
 * chunks; a proxy in front of it may not, and what is one request for the one is two for the other (request smuggling, RFC 9112,
 * sections 6.1 and 6.3).
 */
export function isBadlyFramed(req: uWS.HttpRequest): boolean {
  let lengths = 0;
  let encodings = 0;
  req.forEach((name) => {
    if (name === 'content-length') lengths++;
    else if (name === 'transfer-encoding') encodings++;
  });
  if (lengths > 1 || encodings > 1) return true;
  return encodings === 1 && req.getHeader('transfer-encoding').toLowerCase() !== 'chunked';
}

/** Headers that say who asks. */
const WHO_ASKS = ['authorization', 'sec-websocket-protocol', 'x-holdfast-holder'];

/**
 * What is wrong with a request that says more than once who asks, as a sentence without an end. The socket layer gives the first of several
 * headers; a proxy in front of it that has checked the last would let somebody in whom it does not know.
 */
export function whoTwice(req: uWS.HttpRequest): string | undefined {
  const seen: string[] = [];
  req.forEach((name) => {
    if (WHO_ASKS.includes(name)) seen.push(name);
  });
  const twice = seen.find((name, i) => seen.indexOf(name) < i);
  return twice === undefined ? undefined : `the header ${twice} is there more than once`;
}

/** Whether a body comes behind the head, though it may be an empty one. */
export function hasBody(req: uWS.HttpRequest): boolean {
  return req.getHeader('content-length') !== '' || req.getHeader('transfer-encoding') !== '';
}
