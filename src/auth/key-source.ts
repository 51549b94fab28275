import { isIP } from 'node:net';
import type { VerifyKey } from './key-import.ts';

/** Something happened to a source of keys or to the revocations that whoever runs the server should read of. */
export interface AuthNote {
  readonly level: 'info' | 'warn';
  readonly message: string;
}
export type OnNote = (note: AuthNote) => void;

/** Where keys come from. */
export interface KeySource {
  /** The keys as they are known now, which may be none. */
  readonly keys: readonly VerifyKey[];
  /** False while the keys cannot be had, so that a key that is not there proves nothing. */
  readonly known: boolean;
  /** Brings the keys up to date where that is due, without waiting for anything far away. */
  refresh(): Promise<void>;
  /** A token names a key that is not there: asks again, if that may help and is not too soon. True when keys came. */
  lookAgain(): Promise<boolean>;
}

/** What a source may be, for messages and documentation. */
export const SOURCE_FORMS = 'file:<path>, env:<variable>, https://…, or http://… on loopback';

/** Whether a text names a source of keys. What is behind it is not looked at. */
export function isKeySource(text: string): boolean {
  if (text.startsWith('file:')) return text.length > 'file:'.length;
  if (text.startsWith('env:')) return /^env:[A-Za-z_]\w*$/.test(text);
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== '' || password !== '') return false;
  // Whoever can change an answer on the way could make tokens.
  return protocol === 'https:' || (protocol === 'http:' && isLoopbackName(hostname));
}

function isLoopbackName(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '');
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
