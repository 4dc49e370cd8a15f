/* Live widgets with no kernel and no CDN.

   Jupyter's html-manager weighs 0.9 MB compressed, so it is fetched only once a widget comes near the screen.
   Its AMD modules and anywidget are looked for beside require.js, and MathJax 3 is given the one method of
   MathJax 2 that html-manager calls. */
(() => {
  const folder = new URL("widgets/", document.currentScript.src).href;

  const load = (name) =>
    new Promise((resolve, reject) => {
      const script = Object.assign(document.createElement("script"), { src: folder + name });
      script.onload = resolve;
      script.onerror = () => reject(new Error(`cannot load ${name}`));
      document.head.append(script);
    });

  function typesetOnRequest() {
    const MathJax = window.MathJax;
    if (!MathJax?.startup || MathJax.Hub) return;
    MathJax.Hub = {
      Queue([, , element]) {
        element.classList.add("mathjax_process");
        MathJax.startup.promise = MathJax.startup.promise.then(() => MathJax.typesetPromise([element]));
      },
    };
  }

  async function start() {
    typesetOnRequest();
    await load("require.js");
    window.requirejs.config({ baseUrl: folder });
    await load("embed-amd.js");
  }

  // the html-manager renders a widget just before the script that describes it; that script takes no room itself
  const views = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]');
  const near = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      near.disconnect();
      start();
    },
    { rootMargin: "400px" },
  );
  views.forEach((view) => near.observe(view.parentElement));
})();
