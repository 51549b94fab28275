import { createRequire } from 'node:module';

/** The package finds itself by name: sources and built files lie at different depths below its package.json. */
const { version: own } = createRequire(import.meta.url)('holdfast/package.json') as { version: string };

export const version: string = own;
