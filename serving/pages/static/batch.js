// Says of a file that it is too large before it is sent.
"use strict";

const FORM_BYTES = 2048; // of the request beside the file
const form = document.querySelector("form[data-max-bytes]");
const error = form.querySelector(".error");

form.addEventListener("submit", (event) => {
  const [file] = form.elements.file.files;
  const most = Number(form.dataset.maxBytes);
  if (file && file.size + FORM_BYTES > most) {
    event.preventDefault();
    error.textContent = `文件有 ${(file.size / 2 ** 20).toFixed(1)} MB，超过 ${most / 2 ** 20} MB，请分成几个再传。`;
    error.hidden = false;
  }
});
