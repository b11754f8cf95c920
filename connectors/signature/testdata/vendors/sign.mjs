// Reads a list of bodies and the time from standard input and writes signed requests to standard output: for each
// vendor either made by its own library, or made by hand after its documentation and then shown to its own library,
// which must accept the request and refuse the same one with a changed body.
import crypto from 'node:crypto';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const require = createRequire(import.meta.url);
const input = JSON.parse(readFileSync(0, 'utf8'));
const now = input.now; // Unix time in seconds
const iso = new Date(now * 1000).toISOString();
const url = input.url;
const out = [];
const hmac = (hash, key, text, encoding) => crypto.createHmac(hash, key).update(text).digest(encoding);

// At `now`, for libraries that compare with the clock.
async function at(seconds, work) {
  const real = Date.now;
  const RealDate = Date;
  globalThis.Date = class extends RealDate {
    constructor(...a) { a.length ? super(...a) : super(seconds * 1000); }
    static now() { return seconds * 1000; }
  };
  try { return await work(); } finally { globalThis.Date = RealDate; Date.now = real; }
}

function request(scheme, evidence, secret, body, headers, more = {}) {
  out.push({ scheme, evidence, secret, body, headers, url, method: 'POST', ...more });
}

// The library must tell a genuine request from one with another body.
async function judged(name, genuine, forged) {
  const yes = await at(now, async () => { try { return await genuine(); } catch (e) { throw new Error(`${name} refuses a genuine request: ${e}`); } });
  let no = false;
  try { no = await at(now, forged); } catch { no = false; }
  if (yes === false || (no !== false && no !== undefined && no !== null)) throw new Error(`${name}: genuine ${yes}, forged ${no}`);
}

const changed = (body) => body.slice(0, -1) + (body.endsWith('}') ? ' }' : body.slice(-1) + 'x');

async function stripe(body) {
  const Stripe = require('stripe');
  const s = new Stripe('sk_test_1');
  const secret = 'whsec_stripe_test_secret';
  request('stripe', 'sdk', secret, body, {
    'Content-Type': 'application/json; charset=utf-8',
    'Stripe-Signature': s.webhooks.generateTestHeaderString({ payload: body, secret, timestamp: now }),
  });
}

async function standard(body) {
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const { Webhook } = require('standardwebhooks');
  request('standard_webhooks', 'sdk', secret, body, {
    'Content-Type': 'application/json', 'webhook-id': 'msg_1', 'webhook-timestamp': String(now),
    'webhook-signature': new Webhook(secret).sign('msg_1', new Date(now * 1000), body),
  });
  const svix = require('svix');
  request('standard_webhooks', 'sdk', secret, body, {
    'Content-Type': 'application/json', 'svix-id': 'msg_2', 'svix-timestamp': String(now),
    'svix-signature': new svix.Webhook(secret).sign('msg_2', new Date(now * 1000), body),
  }, { variant: 'svix' });
}

async function github(body, name) {
  const { sign } = await import('@octokit/webhooks-methods');
  const secret = "It's a Secret to Everybody";
  request('github', 'sdk', secret, body, {
    'Content-Type': 'application/json', 'X-GitHub-Event': name ?? 'push', 'X-GitHub-Delivery': crypto.createHash('md5').update(body).digest('hex'),
    'X-Hub-Signature-256': await sign(secret, body),
  });
}

async function shopify(body) {
  const secret = 'shpss_test';
  const { validateHmacString } = await import('./node_modules/@shopify/shopify-api/dist/esm/lib/utils/hmac-validator.mjs');
  await import('./node_modules/@shopify/shopify-api/dist/esm/adapters/node/index.mjs');
  const sig = hmac('sha256', secret, body, 'base64');
  await judged('shopify', () => validateHmacString({ apiSecretKey: secret }, body, sig, 'base64'), () => validateHmacString({ apiSecretKey: secret }, changed(body), sig, 'base64'));
  for (const prefix of ['X-Shopify-', 'Shopify-']) {
    request('shopify', 'checked by sdk', secret, body, {
      'Content-Type': 'application/json', [prefix + 'Hmac-Sha256']: sig, [prefix + 'Topic']: 'orders/create', [prefix + 'Webhook-Id']: 'w-1',
    }, { variant: prefix });
  }
}

async function slack(body) {
  const { verifySlackRequest } = require('./node_modules/@slack/bolt/dist/receivers/verify-request.js');
  const secret = '8f742231b10e8888abcd99yyyzzz85a5';
  const sig = 'v0=' + hmac('sha256', secret, `v0:${now}:${body}`, 'hex');
  const headers = { 'x-slack-request-timestamp': now, 'x-slack-signature': sig };
  await judged('slack', () => verifySlackRequest({ signingSecret: secret, headers, body }) ?? true,
    () => { verifySlackRequest({ signingSecret: secret, headers, body: changed(body) }); return true; });
  request('slack', 'checked by sdk', secret, body, {
    'Content-Type': 'application/json', 'X-Slack-Request-Timestamp': String(now), 'X-Slack-Signature': sig,
  });
}

async function twilio(body) {
  const t = require('./node_modules/twilio/lib/webhooks/webhooks.js');
  const secret = '12345';
  const params = { CallSid: 'CA1234567890ABCDE', Caller: '+14158675309', Digits: '1234', Body: body.slice(0, 300), Media: ['b', 'a', 'b'] };
  const form = Object.entries(params).flatMap(([k, v]) => [v].flat().map((x) => encodeURIComponent(k) + '=' + encodeURIComponent(x))).join('&');
  const u = new URL(url);
  const port = u.port || (u.protocol === 'https:' ? '443' : '80');
  const addresses = [url, url.replace(u.host, `${u.hostname}:${port}`), url + '?a=it%27s', url + "?a=it's&b=x y".replace(' ', '%20')];
  for (const address of addresses) {
    request('twilio', 'sdk', secret, form, {
      'Content-Type': 'application/x-www-form-urlencoded', 'X-Twilio-Signature': t.getExpectedTwilioSignature(secret, address, params),
      'I-Twilio-Idempotency-Token': 'tok-1',
    }, { variant: 'form ' + address, url: address.replace(`:${port}`, '') });
  }
  const signed = `${url}?bodySHA256=${t.getExpectedBodyHash(body)}`;
  request('twilio', 'sdk', secret, body, {
    'Content-Type': 'application/json', 'X-Twilio-Signature': t.getExpectedTwilioSignature(secret, signed, {}),
  }, { variant: 'json', url: signed });
}

async function sendgrid(body) {
  const { EventWebhook } = require('@sendgrid/eventwebhook');
  const { publicKey, privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const secret = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const text = body + '\r\n';
  const sig = crypto.sign('sha256', Buffer.from(now + text), privateKey).toString('base64');
  const sdk = new EventWebhook();
  const key = sdk.convertPublicKeyToECDSA(secret);
  await judged('sendgrid', () => sdk.verifySignature(key, text, sig, String(now)), () => sdk.verifySignature(key, changed(text), sig, String(now)));
  request('sendgrid', 'checked by sdk', secret, text, {
    'Content-Type': 'application/json', 'X-Twilio-Email-Event-Webhook-Signature': sig, 'X-Twilio-Email-Event-Webhook-Timestamp': String(now),
  });
}

async function discord(body) {
  const { verifyKey } = require('discord-interactions');
  const nacl = require('tweetnacl');
  const keys = nacl.sign.keyPair();
  const secret = Buffer.from(keys.publicKey).toString('hex');
  const sig = Buffer.from(nacl.sign.detached(Buffer.from(now + body), keys.secretKey)).toString('hex');
  await judged('discord', () => verifyKey(body, sig, String(now), secret), () => verifyKey(changed(body), sig, String(now), secret));
  request('discord', 'checked by sdk', secret, body, {
    'Content-Type': 'application/json', 'X-Signature-Ed25519': sig, 'X-Signature-Timestamp': String(now),
  });
}

async function square(body) {
  const { createHmacOverride } = require('./node_modules/square/core/crypto/createHmacOverride.js');
  const secret = 'asdf1234';
  request('square', 'sdk', secret, body, {
    'Content-Type': 'application/json', 'x-square-hmacsha256-signature': await createHmacOverride(url + body, secret),
  });
}

async function hubspot(body) {
  const { Signature } = require('./node_modules/@hubspot/api-client/lib/src/utils/signature.js');
  const secret = 'hubspot-client-secret';
  const sign = (u) => Signature.getSignature('POST', 'v3', { clientSecret: secret, url: u, requestBody: body, timestamp: now * 1000 });
  for (const [sent, signed] of [[url, url], [url + '?a=b%40c%2Fd', url + '?a=b@c/d'], [url + '?a=b%40c', url + '?a=b%40c']]) {
    request('hubspot', 'sdk', secret, body, {
      'Content-Type': 'application/json', 'X-HubSpot-Signature-v3': sign(signed), 'X-HubSpot-Request-Timestamp': String(now * 1000),
    }, { variant: signed, url: sent });
  }
}

async function linear(body) {
  const { LinearWebhookClient } = await import('@linear/sdk/webhooks');
  const secret = 'lin_wh_test';
  const text = JSON.stringify({ action: 'create', data: { title: body.slice(0, 200) }, webhookTimestamp: now * 1000 });
  const sig = hmac('sha256', secret, text, 'hex');
  const sdk = new LinearWebhookClient(secret);
  await judged('linear', () => sdk.verify(Buffer.from(text), sig), () => sdk.verify(Buffer.from(changed(text)), sig));
  request('linear', 'checked by sdk', secret, text, { 'Content-Type': 'application/json', 'Linear-Signature': sig, 'Linear-Delivery': 'd-1' });
}

async function paddle(body) {
  const { Paddle } = await import('@paddle/paddle-node-sdk');
  const secret = 'pdl_ntfset_test';
  const sig = `ts=${now};h1=${hmac('sha256', secret, `${now}:${body}`, 'hex')}`;
  const sdk = new Paddle('pdl_sdbx_apikey_test').webhooks;
  await judged('paddle', () => sdk.isSignatureValid(body, secret, sig), () => sdk.isSignatureValid(changed(body), secret, sig));
  request('paddle', 'checked by sdk', secret, body, { 'Content-Type': 'application/json', 'Paddle-Signature': sig });
}

// Twitch has no library of its own: this one is of a third party.
async function twitch(body) {
  const { EventSubHttpListener } = require('@twurple/eventsub-http');
  const secret = 's3cre7-of-twitch';
  const sig = 'sha256=' + hmac('sha256', secret, 'id-1' + iso + body, 'hex');
  const verify = (b) => EventSubHttpListener.prototype._verifyData.call({ _secret: secret }, 'id-1', iso, b, sig);
  await judged('twitch', () => verify(body), () => verify(changed(body)));
  request('twitch', 'checked by a third party', secret, body, {
    'Content-Type': 'application/json', 'Twitch-Eventsub-Message-Id': 'id-1', 'Twitch-Eventsub-Message-Timestamp': iso,
    'Twitch-Eventsub-Message-Signature': sig, 'Twitch-Eventsub-Message-Type': 'notification',
  });
}

async function tokens(body) {
  const jose = await import('jose');
  const sha = crypto.createHash('sha256').update(body).digest('hex');
  const keys = [];
  const made = [];
  for (const alg of ['RS256', 'PS384', 'ES256', 'ES512', 'EdDSA']) {
    const pair = await jose.generateKeyPair(alg, { extractable: true });
    keys.push({ ...(await jose.exportJWK(pair.publicKey)), kid: alg, alg, use: 'sig' });
    const claims = { request_body_sha256: sha };
    const token = (header, c, change = {}) => new jose.SignJWT({ ...claims, ...c })
      .setProtectedHeader({ alg, kid: alg, ...header })
      .setIssuer(change.iss ?? 'https://issuer.example.com').setAudience(change.aud ?? 'bellhop')
      .setIssuedAt(now + (change.iat ?? 0)).setExpirationTime(now + (change.exp ?? 300)).sign(pair.privateKey);
    made.push({ alg, ok: true, token: await token() });
    made.push({ alg, ok: true, token: await token({ jku: 'https://evil.example.com/keys', x5u: 'https://evil.example.com/x' }), name: 'jku' });
    made.push({ alg, ok: false, token: await token({}, {}, { iss: 'https://other.example.com' }), name: 'issuer' });
    made.push({ alg, ok: false, token: await token({}, {}, { aud: 'other' }), name: 'audience' });
    made.push({ alg, ok: false, token: await token({}, {}, { exp: -1 }), name: 'expired' });
    made.push({ alg, ok: false, token: await token({}, {}, { iat: 120 }), name: 'future iat' });
    made.push({ alg, ok: false, token: await token({}, { nbf: now + 120 }), name: 'nbf' });
    made.push({ alg, ok: false, token: await token({}, { request_body_sha256: sha.replace(/^./, (c) => (c === '0' ? '1' : '0')) }), name: 'body' });
    made.push({ alg, ok: false, token: await token({ kid: '../../' + alg }), name: 'kid' });
    const other = await jose.generateKeyPair(alg);
    made.push({ alg, ok: false, name: 'other key', token: await new jose.SignJWT(claims).setProtectedHeader({ alg, kid: alg })
      .setIssuer('https://issuer.example.com').setAudience('bellhop').setExpirationTime(now + 300).sign(other.privateKey) });
    made.push({ alg, ok: false, name: 'no exp', token: await new jose.SignJWT(claims).setProtectedHeader({ alg, kid: alg })
      .setIssuer('https://issuer.example.com').setAudience('bellhop').sign(pair.privateKey) });
    if (alg === 'RS256') {
      const pem = await jose.exportSPKI(pair.publicKey);
      made.push({ alg, ok: false, name: 'HS256 with the public key', token: await new jose.SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: alg })
        .setIssuer('https://issuer.example.com').setAudience('bellhop').setExpirationTime(now + 300).sign(new TextEncoder().encode(pem)) });
      made.push({ alg, ok: false, name: 'none', token: new jose.UnsecuredJWT(claims)
        .setIssuer('https://issuer.example.com').setAudience('bellhop').setExpirationTime(now + 300).encode() });
    }
  }
  out.push({ scheme: 'jwt', evidence: 'sdk', body, keys: { keys }, tokens: made });
}

for (const body of input.bodies) {
  for (const vendor of [stripe, standard, github, shopify, slack, twilio, sendgrid, discord, square, hubspot, linear, paddle, twitch]) await vendor(body);
}
await tokens(input.bodies[0]);
for (const hook of require('@octokit/webhooks-examples')) {
  for (const example of hook.examples) await github(JSON.stringify(example), hook.name);
}
process.stdout.write(JSON.stringify(out));
