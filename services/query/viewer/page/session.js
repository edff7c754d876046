// Keeps the session of somebody who logged in while he uses this page, and ends it. A classic script: OHIF runs it, too.
// It knows no token: the session is a cookie that scripts cannot read.
(() => {
  const EVERY = 45_000;
  const AGAIN = 15_000;
  const USES = ["pointerdown", "keydown", "wheel", "touchstart"];
  let used = false;
  let timer = 0;

  async function post(path) {
    const response = await fetch(`/login/${path}`, { method: "POST", headers: { Accept: "application/json" } });
    if (response.ok) return response.json();
    if (response.status === 401) return null;
    throw new Error(`the archive answered with status ${response.status}`);
  }

  // One tab after the other: the second one finds what the first one got.
  const alone = (action) => (navigator.locks ? navigator.locks.request("gantry-session", action) : action());

  // Who is signed in from now on, {name, until}; null where the session is over.
  function renew() {
    used = false;
    return alone(() => post("renew"));
  }

  // To the login, and back here. False where that was a moment ago: once more would be a circle.
  function signIn() {
    const before = Number(sessionStorage.getItem("gantry.signing-in"));
    if (Date.now() - before < AGAIN) return false;
    sessionStorage.setItem("gantry.signing-in", String(Date.now()));
    location.assign(`/login?to=${encodeURIComponent(location.pathname + location.search)}`);
    return true;
  }

  async function signOut() {
    const { location: next } = await post("logout");
    location.assign(next);
  }

  async function goOn() {
    if (!used) return;
    try {
      await renew();
    } catch {
      used = true; // the archive is away: later
    }
  }

  // Somebody who uses the page stays signed in.
  function begin() {
    if (timer) return;
    for (const type of USES) addEventListener(type, () => { used = true; }, { capture: true, passive: true });
    timer = setInterval(goOn, EVERY);
  }

  window.session = { begin, renew, signIn, signOut };
})();
