// One tap of two channels and 2 x 2 pixels, worked by hand: exits with 0 when the tokens are right.
#include <fer_fast/tokens.h>

int main() {
  const float pixels[] = {1, 2, 3, 4, 10, 20, 30, 40};  // [1, 2, 2, 2]
  const float mean[] = {1, 10}, inv_std[] = {2, 0.5f};
  fer_fast::SourceView tap;
  tap.data = pixels;
  tap.batch = 1;
  tap.channels = tap.height = tap.width = 2;
  tap.batch_stride = 8;
  tap.channel_stride = 4;
  tap.height_stride = 2;
  tap.width_stride = 1;
  tap.mean = mean;
  tap.inv_std = inv_std;
  tap.mean_size = tap.inv_std_size = 2;
  float tokens[8];  // [1, 2 * 2, 2]
  fer_fast::fused_tokens_cpu(&tap, 1, 2, tokens, fer_fast::DType::kFloat32);
  const float expected[] = {0, 0, 2, 5, 4, 10, 6, 15};
  for (int i = 0; i < 8; ++i) {
    if (tokens[i] != expected[i]) return 1;
  }
  return 0;
}
