// An OpenID provider (panva's oidc-provider) for tests: node provider.js '{"port": …, "clients": […], …}'
// Whoever signs in is who he says; what he may is in `roles`, by his name. Prints a line when it listens.
import { Provider } from "oidc-provider";

const { port, clients, roles, accessSeconds } = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const page = (body) => `<!doctype html><title>Sign in</title><link rel="icon" href="data:,">${body}`;
const FORM = '<form method="post"><input name="login" aria-label="Name" autofocus><button>Sign in</button></form>';
const YES = '<button form="op.logoutForm" name="logout" value="yes">Yes, sign me out</button>';
const claims = (name) => ({ sub: `id-of-${name}`, preferred_username: name, roles: roles[name] ?? [] });

const provider = new Provider(issuer, {
  clients,
  cookies: { keys: ["a key of tests"] },
  claims: { profile: ["preferred_username", "roles"] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({ accountId: id, claims: () => claims(id.replace("id-of-", "")) }),
  extraTokenClaims: (_, token) => {
    const { sub, ...others } = claims((token.accountId ?? token.clientId).replace("id-of-", ""));
    return others;
  },
  features: {
    devInteractions: { enabled: false },
    revocation: { enabled: true },
    backchannelLogout: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (_, client) => client.clientId === "checker" },
    rpInitiatedLogout: { enabled: true, logoutSource: (ctx, form) => { ctx.body = page(form + YES); } },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => "urn:gantry",
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: "",
        audience: "gantry",
        accessTokenFormat: resource === "urn:gantry:opaque" ? "opaque" : "jwt",
        accessTokenTTL: accessSeconds,
      }),
    },
  },
  // By itself it asks nobody at a loopback address, which is where the archive is.
  fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
  interactions: { url: (_, { uid }) => `/sign-in/${uid}` },
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

// A page of our own: the one that comes with the provider asks other hosts for its letters.
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith("/sign-in/")) return next();
  if (ctx.method === "GET") {
    ctx.body = page(FORM);
    return;
  }
  let body = "";
  for await (const chunk of ctx.req) body += chunk;
  const accountId = `id-of-${new URLSearchParams(body).get("login")}`;
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId } }, { mergeWithLastSubmission: false });
});
provider.on("backchannel.error", (_, error) => console.error(error));
provider.on("server_error", (_, error) => console.error(error));
provider.listen(port, "127.0.0.1", () => console.log("listening"));
