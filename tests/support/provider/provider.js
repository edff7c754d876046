// An OpenID provider (panva's oidc-provider) for tests: node provider.js '{"port": …, "clients": […], …}'
// Whoever signs in is who he says; what he may is in `roles`, by his name. Prints a line when it listens.
import { Provider } from "oidc-provider";

const { port, clients, roles, accessSeconds } = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const claims = (name) => ({ sub: `id-of-${name}`, preferred_username: name, roles: roles[name] ?? [] });

const provider = new Provider(issuer, {
  clients,
  cookies: { keys: ["a key of tests"] },
  claims: { profile: ["preferred_username", "roles"] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({ accountId: id, claims: () => claims(id.replace("id-of-", "")) }),
  extraTokenClaims: (_, token) => {
    const { sub, ...others } = claims(token.accountId.replace("id-of-", ""));
    return others;
  },
  features: {
    devInteractions: { enabled: true },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => "urn:gantry",
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope: "", audience: "gantry", accessTokenFormat: "jwt", accessTokenTTL: accessSeconds }),
    },
  },
  issueRefreshToken: () => true,
  rotateRefreshToken: () => true,
  pkce: { required: () => true },
  // Nobody is asked whether the archive may know him.
  loadExistingGrant: async ({ oidc }) => {
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope("openid profile");
    grant.addResourceScope("urn:gantry", "");
    await grant.save();
    return grant;
  },
});
// The account of whoever signs in by a name.
provider.on("server_error", (_, error) => console.error(error));
provider.listen(port, "127.0.0.1", () => console.log("listening"));
