import { MAX_TOKEN_BYTES } from '../../protocol/limits.ts';
import { AuthReason } from '../../protocol/status.ts';
import { type Algorithm, isAlgorithm } from './algorithms.ts';
import { AuthError } from './identity.ts';

/** What the header of a token decides. Whatever else it has, such as keys or addresses of keys, is not looked at. */
export interface TokenHeader {
  readonly algorithm: Algorithm;
  readonly keyId: string | undefined;
  readonly type: string | undefined;
}

/** Three parts of base64url; the last two may be checked only after the header. */
const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;
const MAX_KEY_ID_LENGTH = 256;

/**
 * The header of a signed token in compact form, before any signature is looked at. Throws AuthError MISSING for none, MALFORMED
 * for one that is too long (before anything is decoded), of another form, or asks for what no token may choose here.
 */
export function readHeader(token: string): TokenHeader {
  if (token === '') throw new AuthError(AuthReason.MISSING, 'There is no token.');
  // Characters that are not ASCII are not base64url either, so that length counts bytes of what goes on.
  if (token.length > MAX_TOKEN_BYTES) throw malformed(`It is longer than ${MAX_TOKEN_BYTES} bytes.`);
  const parts = COMPACT.exec(token);
  if (parts === null) {
    throw malformed('It is no signed JWT in compact form: three parts of base64url with dots between them.');
  }
  const [, headerPart, payloadPart, signaturePart] = parts as unknown as [string, string, string, string];
  for (const part of [headerPart, payloadPart, signaturePart]) {
    // One text for one token: bits that no byte has must be zero (RFC 4648, section 3.5).
    if (Buffer.from(part, 'base64url').toString('base64url') !== part)
      throw malformed('Its base64url is not canonical.');
  }
  return headerOf(headerPart);
}

function headerOf(part: string): TokenHeader {
  let header: Record<string, unknown>;
  try {
    header = JSON.parse(utf8.decode(Buffer.from(part, 'base64url'))) as Record<string, unknown>;
  } catch {
    throw malformed('Its header is no JSON.');
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw malformed('Its header is no JSON object.');
  const { alg, kid, typ } = header;
  if (!isAlgorithm(alg)) throw malformed('Its "alg" is none that this server can be told to take.');
  // No extension is understood here, and one that is marked critical must not be passed over (RFC 7515, section 4.1.11).
  if ('crit' in header || 'b64' in header)
    throw malformed('Its header has "crit" or "b64", and no extension is taken.');
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KEY_ID_LENGTH)) {
    throw malformed(`Its "kid" is no text of at most ${MAX_KEY_ID_LENGTH} characters.`);
  }
  if (typ !== undefined && typeof typ !== 'string') throw malformed('Its "typ" is no text.');
  return { algorithm: alg, keyId: kid, type: typ };
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function malformed(message: string): AuthError {
  return new AuthError(AuthReason.MALFORMED, message);
}
