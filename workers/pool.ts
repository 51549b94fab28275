export { ready, recover, snapshot } from '../src/storage/pool-tasks.ts';
