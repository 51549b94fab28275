import { AuthError } from '../../src/auth/identity.ts';
import { withKeys } from './fixtures.ts';

/** A file of test vectors in the JOSE format of project Wycheproof: json_web_signature_test.json and its like. */
export interface VectorFile {
  readonly numberOfTests: number;
  readonly testGroups: readonly VectorGroup[];
}

interface VectorGroup {
  readonly type: string;
  readonly comment?: string;
  /** The keys, each a JWK or a JWKS: the public one where there is one, else the private or secret one. */
  readonly public?: Jwk | { keys: readonly Jwk[] };
  readonly private?: Jwk | { keys: readonly Jwk[] };
  readonly tests: readonly Vector[];
}

export interface Vector {
  readonly tcId: number;
  readonly comment?: string;
  /** A signed token in compact form, or as JSON; or an encrypted one, which is never taken. */
  readonly jws?: string | object;
  readonly jwe?: string | object;
  readonly result: 'valid' | 'invalid' | 'acceptable';
}

type Jwk = Readonly<Record<string, unknown>>;

/** What one vector should give, and what it gave. */
export interface Verdict {
  readonly title: string;
  readonly expected: 'taken' | 'refused' | 'either';
  readonly got: 'taken' | 'refused';
}

/**
 * Runs every vector of a file; none is passed over. Three kinds of `valid` ones are expected to be refused, and their titles say so:
 * those by an algorithm or a key that this server does not take at all, and texts that are no base64url, which only a lax
 * decoder takes (RFC 7515, section 2 has no other characters). Where a group has the same text as valid and as invalid, it is valid.
 * Throws an Error for a file of another format.
 */
export async function judge(file: VectorFile): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const group of file.testGroups) {
    const key = group.public ?? group.private;
    if (key === undefined || !group.type.startsWith('JsonWeb')) {
      throw new Error(`group ${group.comment} of type ${group.type} has no JWK`);
    }
    const authenticator = await withKeys([JSON.stringify(key)]).catch((error: Error) => error);
    const valid = new Set(group.tests.filter(({ result }) => result === 'valid').map(textOf));
    for (const vector of group.tests) {
      const text = textOf(vector);
      const why = vector.result === 'valid' ? whyNot(key, text) : '';
      verdicts.push({
        title: `${vector.tcId} ${group.comment}: ${vector.comment}${why === '' ? '' : ` (refused: ${why})`}`,
        expected: why === '' ? expectedOf(vector, valid.has(text)) : 'refused',
        got: authenticator instanceof Error ? 'refused' : await tried(authenticator, text),
      });
    }
  }
  if (verdicts.length === 0 || verdicts.length !== file.numberOfTests) {
    throw new Error(`the file says that it has ${file.numberOfTests} tests, and has ${verdicts.length}`);
  }
  return verdicts;
}

/** Vectors that did not give what they should. */
export function wrongOnes(verdicts: readonly Verdict[]): Verdict[] {
  return verdicts.filter(({ expected, got }) => expected !== 'either' && expected !== got);
}

function textOf({ tcId, jws, jwe }: Vector): string {
  const token = jws ?? jwe;
  if (token === undefined) throw new Error(`test ${tcId} has neither a jws nor a jwe`);
  return typeof token === 'string' ? token : JSON.stringify(token);
}

function expectedOf({ tcId, result }: Vector, alsoValid: boolean): Verdict['expected'] {
  switch (result) {
    case 'valid':
      return 'taken';
    case 'invalid':
      return alsoValid ? 'taken' : 'refused';
    case 'acceptable':
      return 'either';
    default:
      throw new Error(`test ${tcId} has the result ${result}`);
  }
}

async function tried(
  authenticator: Exclude<Awaited<ReturnType<typeof withKeys>>, Error>,
  token: string,
): Promise<'taken' | 'refused'> {
  try {
    await authenticator.verifySignature(token);
    return 'taken';
  } catch (error) {
    if (error instanceof AuthError) return 'refused';
    throw error;
  }
}

const TAKEN: Readonly<Record<string, string>> = { HS256: 'oct', RS256: 'RSA', ES256: 'EC', EdDSA: 'OKP' };

/** Why a valid token must be refused all the same; empty for one that must be taken. Looks at the vector, not at the code under test. */
function whyNot(key: NonNullable<VectorGroup['public']>, token: string): string {
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return 'no compact form in base64url';
  const header = JSON.parse(Buffer.from(token.split('.', 1)[0] as string, 'base64url').toString('utf8'));
  const type = TAKEN[header.alg];
  if (type === undefined) return `the algorithm ${header.alg}`;
  const jwks = ('keys' in key ? key.keys : [key]) as readonly Jwk[];
  const fits = jwks.some(
    ({ kty, crv = '', alg = header.alg, n }) =>
      kty === type &&
      alg === header.alg &&
      ['', 'P-256', 'Ed25519'].includes(crv as string) &&
      (n === undefined || Buffer.from(n as string, 'base64url').length >= 256),
  );
  return fits ? '' : 'the key';
}
