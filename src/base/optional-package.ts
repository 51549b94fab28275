/** A setting takes packages from npm that most do without, and that are not installed. The message says which, and what to do. */
export class MissingPackageError extends Error {
  override readonly name = 'MissingPackageError';

  constructor(setting: string, packages: readonly string[], otherwise: string) {
    super(
      `${setting} needs what is not installed. Install it (npm install ${packages.join(' ')}), or ${otherwise}.`,
    );
  }
}

/**
 * Loads a package that is not among the dependencies, because most do without it. Undefined when it is not installed; what goes wrong
 * inside of it is thrown.
 */
export async function optionalPackage<Module>(name: string): Promise<Module | undefined> {
  try {
    return (await import(name)) as Module;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // Also thrown when a package that it needs is missing, and that is worth knowing.
    if (code === 'ERR_MODULE_NOT_FOUND' && message.includes(`'${name}'`)) return undefined;
    throw error;
  }
}
