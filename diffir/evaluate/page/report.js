"use strict";
document.documentElement.classList.add("js");
for (const figure of document.querySelectorAll(".compare")) {
  const stack = figure.querySelector(".stack");
  const panels = [...stack.children];
  const [left, right] = figure.querySelectorAll("select");
  const slide = figure.querySelector("input[type=range]");
  const enlarge = figure.querySelector("input[type=checkbox]");
  const width = Number(stack.dataset.width);
  const height = Number(stack.dataset.height);
  slide.style.maxWidth = width + "px";
  stack.style.aspectRatio = width + " / " + height;
  const show = () => {
    panels.forEach((panel, index) => {
      panel.className = index === Number(left.value) ? "left" : index === Number(right.value) ? "right" : "";
    });
    stack.style.setProperty("--at", slide.value + "%");
    stack.style.width = width * (enlarge.checked ? 3 : 1) + "px";
    stack.parentElement.classList.toggle("enlarged", enlarge.checked);
  };
  for (const control of [left, right, slide, enlarge]) control.addEventListener("input", show);
  show();
}
