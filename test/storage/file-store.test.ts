import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFileStore, possessFileStore } from '../../src/storage/file-store.ts';
import { describeStore } from './store-suite.ts';

for (const fileBytes of [4096, 65_536]) {
  describeStore(`file (journal files of ${fileBytes} bytes)`, async () => {
    const root = mkdtempSync(join(tmpdir(), 'holdfast-store-'));
    const url = `file:${join(root, 'data')}`;
    return {
      possess: (create = true) => possessFileStore(url, { segments: 4, create }, { fileBytes }),
      open: ({ store }) => openFileStore(store.address, { fileBytes }),
      destroy: async () => rmSync(root, { recursive: true }),
    };
  });
}
