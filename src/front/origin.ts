import { isLoopback } from '../base/loopback.ts';

/** Whether a request may come from the page that an Origin header names. Programs send no Origin, and may. */
export type OriginCheck = (origin: string) => boolean;

/** In a list of origins: any page. */
export const ANY_ORIGIN = '*';

/**
 * The pages that may use the server. An empty list means those that come from this machine themselves: without authentication whoever
 * reaches the server may do everything, and a browser on this machine reaches it for any page that it shows.
 */
export function originCheck(allowed: readonly string[]): OriginCheck {
  if (allowed.length === 0) return (origin) => origin === '' || isOwnPage(origin);
  const origins = new Set(allowed);
  return (origin) => origin === '' || origins.has(ANY_ORIGIN) || origins.has(origin.toLowerCase());
}

/** The origin as browsers send it, or undefined when the text names none. */
export function normalOrigin(text: string): string | undefined {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return undefined;
  const { origin, pathname, search, hash, username } = new URL(text);
  return pathname === '/' && search === '' && hash === '' && username === '' ? origin : undefined;
}

function isOwnPage(origin: string): boolean {
  return URL.canParse(origin) && isLoopback(new URL(origin).hostname.replace(/^\[|\]$/g, ''));
}
