import { AuthSetupError, type Identity } from './identity.ts';

/** One token by its `jti`, or all tokens of a subject that were issued before a time. Times are ms since the epoch. */
export type Revocation = (
  | { readonly tokenId: string }
  | { readonly subject: string; readonly issuedBefore: number }
) & {
  /** When the last token that it is about has expired: it is dropped then. Left out, it is kept for good. */
  readonly until?: number;
};

/** More would make the file slow to write, which happens whole. */
export const MAX_REVOCATIONS = 20_000;
/** Longest id of a token, and longest subject, in characters. */
export const MAX_REVOKED_LENGTH = 256;

/** A list of revocations, to look tokens up in. */
export class RevocationIndex {
  private readonly tokens = new Map<string, Revocation>();
  private readonly subjects = new Map<string, Revocation & { issuedBefore: number }>();

  constructor(list: readonly Revocation[]) {
    for (const entry of list) {
      if ('tokenId' in entry) this.tokens.set(entry.tokenId, entry);
      else this.subjects.set(entry.subject, entry);
    }
  }

  get count(): number {
    return this.tokens.size + this.subjects.size;
  }

  entries(): Revocation[] {
    return [...this.tokens.values(), ...this.subjects.values()];
  }

  /** A token without `iat` counts as issued before everything. */
  has({ subject, tokenId, issuedAtMs }: Pick<Identity, 'subject' | 'tokenId' | 'issuedAtMs'>): boolean {
    if (tokenId !== undefined && this.tokens.has(tokenId)) return true;
    const ofSubject = this.subjects.get(subject);
    return ofSubject !== undefined && issuedAtMs < ofSubject.issuedBefore;
  }
}

/** The list with one more, without those whose time is over. Throws AuthSetupError when it would be too long. */
export function mergeRevocations(
  list: readonly Revocation[],
  added: Revocation,
  nowMs: number,
): Revocation[] {
  const others = list.filter((entry) => matters(entry, nowMs) && !sameTarget(entry, added));
  if (others.length >= MAX_REVOCATIONS) {
    throw new AuthSetupError(
      `There are ${MAX_REVOCATIONS} revocations already. Give them the time when their tokens expire ("until"), so that they are dropped then, or change the key.`,
    );
  }
  const before = list.find((entry) => sameTarget(entry, added));
  return [...others, before === undefined ? added : stronger(before, added)];
}

/** The entries of a file that still matter; of two about the same, what both say. Throws an Error that says what is wrong with it. */
export function parseRevocations(content: Uint8Array, nowMs: number): Revocation[] {
  const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
  const list = (value as { revocations?: unknown } | null)?.revocations;
  if (!Array.isArray(list)) throw new Error('it is no JSON object with an array "revocations"');
  if (list.length > MAX_REVOCATIONS) throw new Error(`it has more than ${MAX_REVOCATIONS} entries`);
  const found = new Map<string, Revocation>();
  for (const [index, item] of list.entries()) {
    const entry = readRevocation(item);
    if (entry === undefined) {
      throw new Error(
        `entry ${index} is neither {"tokenId": text} nor {"subject": text, "issuedBefore": ms}, with "until": ms if any`,
      );
    }
    if (!matters(entry, nowMs)) continue;
    const target = JSON.stringify('tokenId' in entry ? [entry.tokenId] : [entry.subject, 's']);
    const before = found.get(target);
    found.set(target, before === undefined ? entry : stronger(before, entry));
  }
  return [...found.values()];
}

/** A revocation from JSON, or undefined for anything else. */
export function readRevocation(value: unknown): Revocation | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { tokenId, subject, issuedBefore, until, ...rest } = value as Record<string, unknown>;
  if (Object.keys(rest).length > 0 || (until !== undefined && !isTime(until))) return undefined;
  const end = until === undefined ? {} : { until: until as number };
  if (isText(tokenId) && subject === undefined && issuedBefore === undefined) return { tokenId, ...end };
  if (isText(subject) && tokenId === undefined && isTime(issuedBefore)) {
    return { subject, issuedBefore, ...end };
  }
  return undefined;
}

function matters({ until }: Revocation, nowMs: number): boolean {
  return until === undefined || until > nowMs;
}

function sameTarget(one: Revocation, other: Revocation): boolean {
  if ('tokenId' in one) return 'tokenId' in other && one.tokenId === other.tokenId;
  return !('tokenId' in other) && one.subject === other.subject;
}

/** What two entries about the same say together. */
function stronger(one: Revocation, other: Revocation): Revocation {
  const until =
    one.until === undefined || other.until === undefined ? undefined : Math.max(one.until, other.until);
  const end = until === undefined ? {} : { until };
  if ('tokenId' in one || 'tokenId' in other) {
    return { tokenId: (one as { tokenId: string }).tokenId, ...end };
  }
  return {
    subject: one.subject,
    issuedBefore: Math.max(one.issuedBefore, other.issuedBefore),
    ...end,
  };
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length >= 1 && value.length <= MAX_REVOKED_LENGTH;
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
