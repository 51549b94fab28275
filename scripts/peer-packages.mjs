/**
 * The servers that Holdfast is compared with: Debian's packages, installed where that can be done without asking. Debian starts a
 * server of each; the comparison and the tests start their own and leave those alone.
 */
import { fileURLToPath } from 'node:url';
import { ensureDebianPackage } from './debian-package.mjs';

/** `what` begins the sentence about what will be missing: `The tests`. */
export async function ensurePeers(what) {
  await ensureDebianPackage('redis-server', 'redis-server', `${what} with Redis will be skipped`);
  // Debian keeps PostgreSQL's own programs off the PATH.
  const programs = ['postgres', 'pg_ctlcluster'];
  await ensureDebianPackage(programs, 'postgresql', `${what} with PostgreSQL will be skipped`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await ensurePeers('The comparisons');
