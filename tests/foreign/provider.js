// An OpenID provider that others wrote, which lets in anyone by the name they give: node provider.js PORT REDIRECT
import Provider from 'oidc-provider';

const [port, redirect] = process.argv.slice(2);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: 'people-feed', client_secret: 'a secret of the two', redirect_uris: [redirect] }],
  claims: { openid: ['sub'], profile: ['preferred_username'] },
  conformIdTokenClaims: false,
  cookies: { keys: ['for tests'] },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: `id of ${id}`, preferred_username: id }) }),
});
provider.listen(port, '127.0.0.1', () => console.log('listening'));
