import type { Algorithm } from './algorithms.ts';
import { FileKeys } from './file-keys.ts';
import { AuthSetupError } from './identity.ts';
import { importKeys, type VerifyKey } from './key-import.ts';
import { isKeySource, type KeySource, type OnNote, SOURCE_FORMS } from './key-source.ts';
import { RemoteKeys } from './remote-keys.ts';

/** Opens a source. Throws AuthSetupError when a file or variable has no key that can be used; an address is asked later. */
export async function openKeySource(
  name: string,
  allowed: readonly Algorithm[],
  onNote: OnNote,
  elapsedMs: () => number,
): Promise<KeySource> {
  if (!isKeySource(name)) {
    throw new AuthSetupError(`Keys cannot come from ${name}: it must be ${SOURCE_FORMS}.`);
  }
  if (name.startsWith('file:')) {
    return FileKeys.open(name.slice('file:'.length), allowed, onNote, elapsedMs);
  }
  if (name.startsWith('env:')) return new EnvKeys(await keysOfVariable(name.slice('env:'.length), allowed));
  return new RemoteKeys(new URL(name), allowed, onNote, elapsedMs);
}

/** Keys of an environment variable, which stay what they are. */
class EnvKeys implements KeySource {
  readonly known = true;
  readonly keys: readonly VerifyKey[];

  constructor(keys: readonly VerifyKey[]) {
    this.keys = keys;
  }

  async refresh(): Promise<void> {}

  async lookAgain(): Promise<boolean> {
    return false;
  }
}

async function keysOfVariable(name: string, allowed: readonly Algorithm[]): Promise<VerifyKey[]> {
  const text = process.env[name] ?? '';
  if (text === '')
    throw new AuthSetupError(`The environment variable ${name} is to have a key and is empty.`);
  try {
    return await importKeys(Buffer.from(text, 'utf8'), allowed);
  } catch (error) {
    throw new AuthSetupError(
      `The key in the environment variable ${name} cannot be used: ${(error as Error).message}.`,
    );
  }
}
