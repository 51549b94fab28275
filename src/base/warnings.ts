/**
 * Does something without the warning that it uses an experimental part of Node, which tells whoever runs a command nothing. Other warnings
 * come through.
 *
 * @param start how the warning's text begins
 */
export function withoutWarning<T>(start: string, use: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
    if (!String(warning).startsWith(start)) Reflect.apply(emitWarning, process, [warning, ...rest]);
  }) as typeof process.emitWarning;
  try {
    return use();
  } finally {
    process.emitWarning = emitWarning;
  }
}
