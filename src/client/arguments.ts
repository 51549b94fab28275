import { MAX_KEY_BYTES, MAX_QUANTITY, MAX_SKU_BYTES, MAX_TTL_MS, MIN_TTL_MS } from '../../protocol/limits.ts';
import { HoldfastError } from './errors.ts';

/**
 * Arguments are checked before they are sent. A value that no server can accept is refused here, with the code
 * that the server would give; and a command that has passed is always shorter than a frame may be.
 */
const encoder = new TextEncoder();

export function checkSku(sku: string): string {
  return checkText('sku', sku, MAX_SKU_BYTES);
}

export function checkKey(key: string | Uint8Array): string | Uint8Array {
  if (typeof key === 'string') return checkText('key', key, MAX_KEY_BYTES);
  if (!(key instanceof Uint8Array)) throw malformed('key', key, 'text or a Uint8Array', 'WRONG_TYPE');
  if (key.length < 1 || key.length > MAX_KEY_BYTES) {
    throw malformed('key', `${key.length} bytes`, `1 to ${MAX_KEY_BYTES} bytes`);
  }
  // A copy, so that the caller may go on with its buffer.
  return key.slice();
}

export function checkQuantity(quantity: number, name = 'quantity'): number {
  return checkInteger(name, quantity, 1, MAX_QUANTITY);
}

export function checkTtl(ttl: number): number {
  return checkInteger('ttl', ttl, MIN_TTL_MS, MAX_TTL_MS);
}

export function checkHoldId(id: number): number {
  return checkInteger('hold id', id, 1, Number.MAX_SAFE_INTEGER);
}

export function checkInteger(name: string, value: number, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    throw malformed(name, value, `an integer from ${min} to ${max}`, 'WRONG_TYPE');
  }
  if (value < min || value > max) throw malformed(name, value, `${min} to ${max}`);
  return value;
}

export function checkText(name: string, value: string, maxBytes: number): string {
  if (typeof value !== 'string') throw malformed(name, value, 'text', 'WRONG_TYPE');
  // The encoding has at least as many bytes as the text has units: a huge text is refused without encoding it.
  const bytes = value.length > maxBytes ? value.length : encoder.encode(value).length;
  if (bytes < 1 || bytes > maxBytes)
    throw malformed(name, `text of ${bytes} bytes`, `1 to ${maxBytes} bytes of UTF-8`);
  return value;
}

export function malformed(
  argument: string,
  value: unknown,
  right: string,
  reason = 'OUT_OF_BOUNDS',
): HoldfastError {
  const shown = typeof value === 'object' && value !== null ? 'an object' : String(value);
  return new HoldfastError('MALFORMED', `${argument} is ${shown}, but must be ${right}. Nothing was sent.`, {
    reason,
    argument,
    sent: false,
  });
}
