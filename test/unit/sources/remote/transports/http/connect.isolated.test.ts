import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkedAgent } from '../../../../../../src/sources/remote/transports/http/connect.js';
import { FileServer } from '../../file-server.js';

let directory: string;
let server: FileServer;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-ca-'));
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const subject = ['-subj', '/CN=peer', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  });
  server = await FileServer.start({ key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') });
  server.serve('/disk.raw', Buffer.alloc(100, 7));
});
afterEach(async () => {
  await server.stop();
  rmSync(directory, { recursive: true });
});

describe('checkedAgent', () => {
  // Isolated: a process reads the system's CAs only once.
  it('accepts a CA of the system when the connection names none', async () => {
    const before = process.env.SSL_CERT_FILE;
    process.env.SSL_CERT_FILE = join(directory, 'cert.pem');
    const agent = checkedAgent('https:', { ca: null, sha256: null }, 1);
    try {
      const status = await new Promise((resolve, reject) => {
        const request = get(`${server.url}/disk.raw`, { agent }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        request.once('error', reject);
      });
      expect(status).toBe(200);
    } finally {
      agent.destroy();
      if (before === undefined) delete process.env.SSL_CERT_FILE;
      else process.env.SSL_CERT_FILE = before;
    }
  });
});
