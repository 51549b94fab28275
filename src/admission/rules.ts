import { z } from 'zod';
import { MAX_IN_FLIGHT } from '../../protocol/limits.ts';

/** A layer that limits nothing. */
export const OFF = 'off';
type Off = typeof OFF;

/** Layer 2: a steady rate, and what may come at once after a rest. */
export interface RateRule {
  readonly perSecond: number;
  readonly burst: number;
}

/** Layer 3: no more than `limit` in any stretch of `windowMs`. */
export interface WindowRule {
  readonly windowMs: number;
  readonly limit: number;
}

/** Layer 4. */
export interface DepthRule {
  readonly perConnection: number;
  readonly perWorker: number;
}

/** Layer 5: when a SKU group or an operation is given a rest. */
export interface BreakerRule {
  readonly slowMs: number;
  readonly slowShare: number;
  readonly errorShare: number;
  readonly openSlowMs: number;
  readonly openErrorMs: number;
  readonly minimumSamples: number;
  readonly probes: number;
}

/** Layer 5: commands under way at once, found by the measured queue wait. */
export interface ConcurrencyRule {
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly min: number;
  readonly max: number;
}

/** What the gate goes by: a plain frozen object, the same in every front. */
export interface AdmissionRules {
  readonly holderRate: RateRule | Off;
  readonly addressRate: RateRule | Off;
  readonly skuWindow: WindowRule | Off;
  readonly holderWindow: WindowRule | Off;
  readonly holderSkuWindow: WindowRule | Off;
  readonly depth: DepthRule | Off;
  readonly breakers: BreakerRule | Off;
  readonly concurrency: ConcurrencyRule | Off;
}

export type RuleName = keyof AdmissionRules;

/** A number of a rule. */
export interface RuleField {
  readonly unit: string;
  readonly min: number;
  readonly max: number;
  readonly whole: boolean;
  readonly value: number;
  readonly help: string;
}

export interface RuleRow {
  readonly layer: 2 | 3 | 4 | 5;
  /** In force without a word of the rules only where authentication is configured, always, or never. */
  readonly on: 'authenticated' | 'always' | 'never';
  readonly help: string;
  readonly fields: Readonly<Record<string, RuleField>>;
}

function count(unit: string, min: number, max: number, value: number, help: string): RuleField {
  return { unit, min, max, whole: true, value, help };
}

function real(unit: string, min: number, max: number, value: number, help: string): RuleField {
  return { unit, min, max, whole: false, value, help };
}

/** Limits are int32 counters with room to add to. */
const MOST = 2 ** 30;
const MINUTE_MS = 60_000;

function rate(perSecond: number, burst: number): RuleRow['fields'] {
  return {
    perSecond: real('commands per second', 0.01, 1_000_000, perSecond, 'steady rate'),
    burst: count('commands', 1, 1_000_000, burst, 'at once, after a rest of `burst` / `perSecond` seconds'),
  };
}

function window(windowMs: number, limit: number): RuleRow['fields'] {
  return {
    windowMs: count('ms', 1000, 10 * MINUTE_MS, windowMs, 'length of the window'),
    limit: count('HOLDs', 1, MOST, limit, 'most in any stretch of that length'),
  };
}

/**
 * Every rule with its bounds and defaults; schema, README and messages are made from it. A person taps, reloads and gives up a few times
 * a second at most, and a page that opens may read some thirty SKUs at once: 20 commands per second and 40 at once are beyond any
 * buyer and far below a script that wants to win by numbers. An address may be the exit of a whole office, so it gets five times
 * that. A SKU's window is no fairness among its buyers but protects all other SKUs: one that everybody wants gets no more than a
 * fraction of what a worker can do.
 */
export const RULES: Readonly<Record<RuleName, RuleRow>> = {
  holderRate: {
    layer: 2,
    on: 'authenticated',
    help: 'commands of one holder: HOLD, READ, STOCK',
    fields: rate(20, 40),
  },
  addressRate: {
    layer: 2,
    on: 'authenticated',
    help: 'the same of one client address, for connections without a token',
    fields: rate(100, 200),
  },
  skuWindow: {
    layer: 3,
    on: 'authenticated',
    help: 'HOLDs of one SKU, of all holders together',
    fields: window(5000, 100_000),
  },
  holderWindow: {
    layer: 3,
    on: 'authenticated',
    help: 'HOLDs of one holder (without a token: of one address), of all SKUs together',
    fields: window(5000, 30),
  },
  holderSkuWindow: {
    layer: 3,
    on: 'never',
    help: 'HOLDs of one SKU by one holder',
    fields: window(5000, 5),
  },
  depth: {
    layer: 4,
    on: 'always',
    help: 'commands under way',
    fields: {
      perConnection: count('commands', 1, MAX_IN_FLIGHT, MAX_IN_FLIGHT, 'of one connection'),
      perWorker: count('commands', 16, 1_000_000, 32_768, 'that wait for one worker'),
    },
  },
  breakers: {
    layer: 5,
    on: 'always',
    help: 'a rest for a group of SKUs, or an operation, that goes slowly or fails',
    fields: {
      slowMs: count('ms', 1, MINUTE_MS, 1000, 'a command that took longer is slow'),
      slowShare: real('', 0.01, 1, 0.3, 'share of slow commands that opens the breaker'),
      errorShare: real('', 0.01, 1, 0.2, 'share of failed commands that opens it'),
      openSlowMs: count('ms', 100, 10 * MINUTE_MS, 5000, 'how long it stays open after slow ones'),
      openErrorMs: count('ms', 100, 10 * MINUTE_MS, 10_000, 'how long it stays open after failed ones'),
      minimumSamples: count('commands', 1, 100_000, 100, 'fewer say nothing'),
      probes: count('commands', 1, 1000, 10, 'let through half-open, to find out'),
    },
  },
  concurrency: {
    layer: 5,
    on: 'always',
    help: 'commands under way in all, adapted so that they wait no longer than this',
    fields: {
      p95Ms: real('ms', 0.1, MINUTE_MS, 15, 'queue wait of 95 in 100 commands'),
      p99Ms: real('ms', 0.1, MINUTE_MS, 25, 'queue wait of 99 in 100 commands'),
      min: count('commands', 1, 1_000_000, 64, 'never fewer'),
      max: count('commands', 1, 1_000_000, 65_536, 'never more'),
    },
  },
};

const NAMES = Object.keys(RULES) as RuleName[];

/** The rules in force where none are given. Layers 2 and 3 need to know who is who, and are off where nobody is asked. */
export function defaultRules(authenticated: boolean): AdmissionRules {
  const rules = Object.fromEntries(NAMES.map((name) => [name, defaultOf(name, authenticated)]));
  return frozen(rules as unknown as AdmissionRules);
}

export type ParsedRules = { readonly rules: AdmissionRules } | { readonly problems: readonly string[] };

/**
 * Rules as they were written (JSON that was parsed), each left out or in part filled up with its default. With problems, one full
 * sentence each, where it is not what it should be.
 */
export function parseRules(value: unknown, authenticated: boolean): ParsedRules {
  const result = schema.safeParse(value);
  if (!result.success) return { problems: result.error.issues.flatMap((issue) => sentences(issue, value)) };
  const given = result.data as Partial<Record<RuleName, object | Off>>;
  const rules = Object.fromEntries(
    NAMES.map((name) => {
      const rule = given[name];
      if (rule === undefined) return [name, defaultOf(name, authenticated)];
      return [name, rule === OFF ? OFF : { ...valuesOf(name), ...rule }];
    }),
  ) as unknown as AdmissionRules;
  const problems = contradictions(rules);
  return problems.length > 0 ? { problems } : { rules: frozen(rules) };
}

function defaultOf(name: RuleName, authenticated: boolean): object | Off {
  const { on } = RULES[name];
  return on === 'always' || (on === 'authenticated' && authenticated) ? valuesOf(name) : OFF;
}

function valuesOf(name: RuleName): Record<string, number> {
  return Object.fromEntries(Object.entries(RULES[name].fields).map(([field, { value }]) => [field, value]));
}

const schema = z
  .strictObject(
    Object.fromEntries(
      NAMES.map((name) => [name, z.union([z.literal(OFF), partOf(RULES[name].fields)]).optional()]),
    ),
  )
  .describe('admission');

function partOf(fields: RuleRow['fields']): z.ZodType {
  return z.strictObject(
    Object.fromEntries(
      Object.entries(fields).map(([name, { min, max, whole }]) => [
        name,
        (whole ? z.int() : z.number()).min(min).max(max).optional(),
      ]),
    ),
  );
}

/** Pairs of fields of which the first may not be above the second. */
const ORDERED: readonly [RuleName, string, string][] = [
  ['concurrency', 'p95Ms', 'p99Ms'],
  ['concurrency', 'min', 'max'],
];

function contradictions(rules: AdmissionRules): string[] {
  return ORDERED.flatMap(([name, low, high]) => {
    const rule = rules[name] as unknown as Record<string, number> | Off;
    if (rule === OFF || (rule[low] as number) <= (rule[high] as number)) return [];
    return [`admission.${name}.${low} = ${rule[low]} is above ${high} = ${rule[high]}; it must not be.`];
  });
}

function sentences(issue: z.core.$ZodIssue, value: unknown): string[] {
  const path = issue.path.map(String);
  const [name, field] = path as [RuleName, string];
  if (issue.code === 'unrecognized_keys') {
    const known = name === undefined ? NAMES : Object.keys(RULES[name].fields);
    return issue.keys.map(
      (key) =>
        `${['admission', ...path, key].join('.')}: there is no such rule; there are ${known.join(', ')}.`,
    );
  }
  const where = ['admission', ...path].join('.');
  const given = JSON.stringify(
    path.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], value),
  );
  if (name === undefined) return [`${where} must be an object of rules, not ${given}.`];
  if (field === undefined) {
    // What is wrong inside an object tells more than that neither form fits.
    const inner = issue.code === 'invalid_union' ? (issue.errors[1] ?? []) : [];
    const deeper = inner.filter(({ path: to, code }) => to.length > 0 || code === 'unrecognized_keys');
    if (deeper.length > 0) {
      return deeper.flatMap((deep) => sentences({ ...deep, path: [name, ...deep.path] }, value));
    }
    const fields = Object.keys(RULES[name].fields).join(', ');
    return [`${where} = ${given} cannot be used: it must be "off" or an object with ${fields}.`];
  }
  const { min, max, whole, unit } = RULES[name].fields[field] as RuleField;
  const kind = `a ${whole ? 'whole ' : ''}number from ${min} to ${max}${unit === '' ? '' : ` ${unit}`}`;
  return [`${where} = ${given} cannot be used: it must be ${kind}.`];
}

function frozen(rules: AdmissionRules): AdmissionRules {
  for (const rule of Object.values(rules)) Object.freeze(rule);
  return Object.freeze(rules);
}
