import { isIPv4 } from 'node:net';

/**
 * Whether a request may come from the page that an Origin header names. Without authentication whoever reaches the server may do
 * everything, and a browser on this machine reaches it for any page that it shows; so only pages that come from this machine
 * themselves may. Programs send no Origin.
 */
export function isTrustedOrigin(origin: string): boolean {
  if (origin === '') return true;
  let host: string;
  try {
    host = new URL(origin).hostname;
  } catch {
    return false;
  }
  return host === 'localhost' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'));
}
