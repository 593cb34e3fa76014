// As much of CUDA's driver as the TensorRT engine asks for; see cuda_runtime_api.h.
#pragma once

struct CUctx_st {
  int card;
};
using CUcontext = CUctx_st*;
enum CUresult { CUDA_SUCCESS };

extern "C" {
CUresult cuCtxGetCurrent(CUcontext* context);
CUresult cuCtxSetCurrent(CUcontext context);
}
