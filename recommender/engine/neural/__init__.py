"""Neural models: learned by PyTorch (the extra ``vitrine[neural]``), asked with NumPy alone.

No module of this package imports PyTorch before something is fitted, and what a fit returns are
arrays: a fitted model is asked, compared and kept where PyTorch isn't installed.

`forward` holds the models and what they compute; `batches` cuts histories into what a step of
training sees; `training` is the loop and the losses; `gru`, `attention` and `towers` fit.
"""
