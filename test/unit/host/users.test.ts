import { expect, test } from 'vitest';
import { findUser } from '../../../src/host/users.js';

test('a user is found by its name, with all groups, its own first', async () => {
  expect(await findUser('root')).toMatchObject({ name: 'root', uid: 0 });
  expect((await findUser('root'))?.groups[0]).toBe(0);
  expect(await findUser('no such user')).toBeNull();
  expect(await findUser('')).toBeNull();
});
