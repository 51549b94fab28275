/**
 * Seeds of random runs: fresh ones, printed with the test that fails. HOLDFAST_SEED plays one again, HOLDFAST_RUNS asks for another number.
 */
export function seeds(runs: number): number[] {
  const { HOLDFAST_SEED: seed, HOLDFAST_RUNS: asked } = process.env;
  if (seed !== undefined) return [Number(seed)];
  return Array.from({ length: Number(asked ?? runs) }, () => Math.floor(Math.random() * 2 ** 31));
}
