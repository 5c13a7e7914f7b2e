// Transpose of a 32 x 32 tile through shared memory. It is right; what is slow about it?
#ifndef PAD
#define PAD 0
#endif
extern "C" __global__ void __launch_bounds__(1024) transpose(const float* x, float* y) {
    __shared__ float tile[32][32 + PAD];
    tile[threadIdx.y][threadIdx.x] = x[threadIdx.y * 32 + threadIdx.x];
    __syncthreads();
    y[threadIdx.y * 32 + threadIdx.x] = tile[threadIdx.x][threadIdx.y];
}
