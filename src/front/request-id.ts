import { randomUUID } from 'node:crypto';

/** What a client, or a proxy, may call a request: short, and nothing that means something to a terminal, a shell or a query language. */
const WELL_FORMED = /^[\w.:-]{1,64}$/;

/** The id of an HTTP request: what its header `x-request-id` says when that is well-formed, else one drawn at random. */
export function requestIdOf(header: string): string {
  return WELL_FORMED.test(header) ? header : randomUUID();
}
