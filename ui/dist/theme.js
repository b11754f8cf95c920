// Sets the theme before the first paint. A file of its own, because the page may run no inline script.
;(function () {
  var wish = null
  try {
    wish = localStorage.getItem('bellhop.theme')
  } catch (e) {}
  var dark = wish === 'dark' || (wish !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
})()
