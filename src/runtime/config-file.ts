import { readFileSync } from 'node:fs';

/** The object that a config file holds. What is wrong with the file is added to `problems`; the object is empty then. */
export function readConfig(path: string, problems: string[]): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    problems.push(unreadable(path, error));
    return {};
  }
  return parseConfig(text, path, problems);
}

/** The same of a text that was read. */
export function parseConfig(text: string, path: string, problems: string[]): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
    problems.push(`The config file ${path} must hold one JSON object, such as {"port": 7071}.`);
  } catch (error) {
    problems.push(`The config file ${path} is no JSON: ${(error as Error).message}.`);
  }
  return {};
}

export function unreadable(path: string, error: unknown): string {
  return `The config file ${path} cannot be read: ${(error as Error).message}.`;
}
