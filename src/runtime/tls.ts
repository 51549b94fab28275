import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { TlsFiles } from '../front/listener.ts';

/** Certificate and key that cannot be used. The message names the file and says what to do. */
export class TlsError extends Error {
  override readonly name = 'TlsError';
  readonly exitCode = 2;
}

/**
 * The files of a server that speaks TLS; undefined when none are set. Both are read and held against each other and against the clock
 * here, because the socket layer, which reads them again, says no more than that it could not. Throws TlsError.
 */
export function tlsOf(cert: string, key: string, nowMs = Date.now()): TlsFiles | undefined {
  if (cert === '' && key === '') return undefined;
  if (cert === '' || key === '') {
    throw new TlsError(
      `TLS takes a certificate and its key, and ${cert === '' ? 'tlsCert (--tls-cert)' : 'tlsKey (--tls-key)'} is not set.`,
    );
  }
  const certificate = parsed(cert, 'certificate', (pem) => new X509Certificate(pem));
  const privateKey = parsed(key, 'private key without a password', createPrivateKey);
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new TlsError(`The private key in ${key} does not belong to the first certificate in ${cert}.`);
  }
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  if (nowMs > to)
    throw new TlsError(`The certificate in ${cert} expired at ${certificate.validTo}: get a new one.`);
  if (nowMs < from) {
    throw new TlsError(
      `The certificate in ${cert} is valid from ${certificate.validFrom} on. Is the clock right?`,
    );
  }
  return { cert, key, untilMs: to };
}

function parsed<T>(path: string, what: string, parse: (pem: Buffer) => T): T {
  let pem: Buffer;
  try {
    pem = readFileSync(path);
  } catch (error) {
    throw new TlsError(`The file ${path} cannot be read: ${(error as Error).message}.`);
  }
  try {
    return parse(pem);
  } catch {
    throw new TlsError(`The file ${path} has no ${what} in PEM.`);
  }
}
