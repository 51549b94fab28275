/** `npm run build`: JavaScript and declarations of protocol, src and workers into dist, and the SDK's bundle. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { buildClient } from './build-client.mjs';
import { pinnedNode, root } from './setup.mjs';

// What an earlier build left behind would be published with the rest.
rmSync(join(root, 'dist'), { recursive: true, force: true });
const tsc = spawnSync(
  pinnedNode,
  [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'],
  {
    cwd: root,
    stdio: 'inherit',
  },
);
if (tsc.status === 0) await buildClient();
process.exitCode = tsc.status ?? 1;
