/** Address of a thread's entry in workers/. Built code runs as .js and sources as .ts; threads start in the same form as who starts them. */
export function threadUrl(name: string): URL {
  const self = import.meta.url;
  const suffix = self.endsWith('.ts') ? '.ts' : '.js';
  return new URL(`../../workers/${name}${suffix}`, self);
}
