// Before anything is drawn, and while the modules are on their way: the theme that was chosen on this machine, and the
// first page of the list where nothing else is asked for. A classic script, so that the page waits for it.
(() => {
  try {
    const theme = JSON.parse(localStorage.getItem("gantry.theme"));
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Then the system's.
  }
  if (location.search || location.pathname !== "/") return;
  const url = "/dicom-web/studies?orderby=-StudyDate%2C-StudyTime&limit=100";
  const token = sessionStorage.getItem("token");
  const headers = { Accept: "application/dicom+json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  window.early = { url, answer: fetch(url, { headers }).catch(() => null) };
})();
