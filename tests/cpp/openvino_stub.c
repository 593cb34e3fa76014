/* Stands in for libopenvino_c: it says its version, and has no more of OpenVINO's functions than that takes. */
typedef struct {
  const char* build_number;
  const char* description;
} ov_version;

int ov_get_openvino_version(ov_version* version) {
  version->build_number = VERSION;
  version->description = "a stub";
  return 0;
}

void ov_version_free(ov_version* version) { version->build_number = version->description = 0; }
