// A real OAuth2 server on a free port of this machine. It prints one line of JSON when it listens, one for each request
// for a token, and one for a request of /said/<number>. The client's public key comes as the first argument.
import Provider, { errors } from 'oidc-provider';
import http from 'node:http';

const key = JSON.parse(process.argv[2]);
const callback = process.argv[3];
const client = (id, method, more = {}) => ({
  client_id: id,
  client_secret: ['client_secret_basic', 'client_secret_post'].includes(method) ? 'canary secret/+ of ' + id : undefined,
  token_endpoint_auth_method: method,
  redirect_uris: [callback],
  response_types: ['code'],
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials', 'urn:ietf:params:oauth:grant-type:device_code'],
  ...more,
});
const publicGrants = { grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'] };

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = 'http://127.0.0.1:' + server.address().port;
  const provider = new Provider(issuer, {
    clients: [
      client('basic', 'client_secret_basic'),
      client('post', 'client_secret_post'),
      client('none', 'none', publicGrants),
      client('assertion', 'private_key_jwt', { jwks: { keys: [key] } }),
    ],
    scopes: ['openid', 'offline_access', 'contacts.read'],
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
    },
    pkce: { required: () => true },
    issueRefreshToken: async () => true,
    rotateRefreshToken: () => true,
    ttl: { AccessToken: 3600, RefreshToken: 86400, Grant: 86400, Session: 3600, Interaction: 600, DeviceCode: 600, ClientCredentials: 60 },
    cookies: { keys: ['for tests only'] },
    findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    async renderError(ctx, out) { ctx.type = 'json'; ctx.body = out; },
  });
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.path === '/token') {
      console.log(JSON.stringify({ grant: ctx.oidc?.params?.grant_type, status: ctx.status, error: ctx.body?.error }));
    }
  });
  const serve = provider.callback();
  server.on('request', (req, res) => {
    if (!req.url.startsWith('/said/')) return serve(req, res);
    console.log(JSON.stringify({ said: Number(req.url.slice('/said/'.length)) })); // behind all that was printed before
    res.end();
  });
  console.log(JSON.stringify({ issuer }));
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0)); // the test is gone
