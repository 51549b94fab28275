import { describe, expect, it } from 'vitest';
import { type AdmissionRules, defaultRules, parseRules, RULES } from '../../src/admission/rules.ts';

describe('the rules in force where none are given', () => {
  it('limit by holder, address and SKU where clients are asked who they are', () => {
    const rules = defaultRules(true);
    expect(rules.holderRate).toEqual({ perSecond: 20, burst: 40 });
    expect(rules.addressRate).toEqual({ perSecond: 100, burst: 200 });
    expect(rules.skuWindow).toEqual({ windowMs: 5000, limit: 100_000 });
    expect(rules.holderWindow).toEqual({ windowMs: 5000, limit: 30 });
    expect(rules.holderSkuWindow).toBe('off');
  });

  it('leave layers 2 and 3 off where nobody is asked', () => {
    const { depth, breakers, concurrency, ...others } = defaultRules(false);
    expect(new Set(Object.values(others))).toEqual(new Set(['off']));
    expect([depth, breakers, concurrency]).toEqual([
      defaultRules(true).depth,
      defaultRules(true).breakers,
      defaultRules(true).concurrency,
    ]);
  });

  it('are within their own bounds, frozen, and can be sent to a thread', () => {
    for (const { fields } of Object.values(RULES)) {
      for (const { min, max, value } of Object.values(fields)) {
        expect(value).toBeGreaterThanOrEqual(min);
        expect(value).toBeLessThanOrEqual(max);
      }
    }
    const rules = defaultRules(true);
    expect(Object.isFrozen(rules) && Object.values(rules).every(Object.isFrozen)).toBe(true);
    expect(structuredClone(rules)).toEqual(rules);
  });
});

describe('rules that are given', () => {
  it('keep the defaults of what they leave out, layer by layer and field by field', () => {
    const rules = rulesOf({ holderRate: { perSecond: 5 }, depth: 'off', holderSkuWindow: {} });
    expect(rules).toEqual({
      ...defaultRules(true),
      holderRate: { perSecond: 5, burst: 40 },
      depth: 'off',
      holderSkuWindow: { windowMs: 5000, limit: 5 },
    });
  });

  it('put a layer into force that would be off', () => {
    expect(rulesOf({ addressRate: { burst: 7 } }, false).addressRate).toEqual({ perSecond: 100, burst: 7 });
  });

  it.each<[string, unknown, string[]]>([
    ['no object', 7, ['admission must be an object of rules, not 7.']],
    ['nothing', null, ['admission must be an object of rules, not null.']],
    ['a list', [], ['admission must be an object of rules, not [].']],
    [
      'a rule that there is not',
      { holderRat: 'off' },
      [
        'admission.holderRat: there is no such rule; there are holderRate, addressRate, skuWindow, holderWindow, holderSkuWindow, depth, breakers, concurrency.',
      ],
    ],
    [
      'a field that there is not',
      { holderRate: { perMinute: 1 } },
      ['admission.holderRate.perMinute: there is no such rule; there are perSecond, burst.'],
    ],
    [
      'another word',
      { depth: 'on' },
      ['admission.depth = "on" cannot be used: it must be "off" or an object with perConnection, perWorker.'],
    ],
    [
      'several problems at once',
      { holderRate: { perSecond: 0, burst: 1.5 }, breakers: { slowShare: '30%' } },
      [
        'admission.holderRate.perSecond = 0 cannot be used: it must be a number from 0.01 to 1000000 commands per second.',
        'admission.holderRate.burst = 1.5 cannot be used: it must be a whole number from 1 to 1000000 commands.',
        'admission.breakers.slowShare = "30%" cannot be used: it must be a number from 0.01 to 1.',
      ],
    ],
    [
      'a contradiction, against a default too',
      { concurrency: { p95Ms: 40, min: 9, max: 8 } },
      [
        'admission.concurrency.p95Ms = 40 is above p99Ms = 25; it must not be.',
        'admission.concurrency.min = 9 is above max = 8; it must not be.',
      ],
    ],
  ])('are refused with all problems: %s', (_, given, problems) => {
    expect(parseRules(given, true)).toEqual({ problems });
  });
});

function rulesOf(given: unknown, authenticated = true): AdmissionRules {
  const parsed = parseRules(given, authenticated);
  if ('problems' in parsed) throw new Error(parsed.problems.join('\n'));
  return parsed.rules;
}
