# The stand-in in CUDA's place: a library of its own, so that a program sees the same cards.
add_library(cuda_shim SHARED ${CMAKE_CURRENT_LIST_DIR}/cuda.cpp)
set_target_properties(cuda_shim PROPERTIES CXX_VISIBILITY_PRESET default VISIBILITY_INLINES_HIDDEN OFF)
target_include_directories(cuda_shim SYSTEM PUBLIC ${CMAKE_CURRENT_LIST_DIR})
add_library(CUDA::cudart_static ALIAS cuda_shim)
set(CUDAToolkit_FOUND TRUE)
